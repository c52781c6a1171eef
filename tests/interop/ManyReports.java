import com.pixelmed.validate.DicomSRValidator;

/** PixelMed's validator of Structured Reports on many files: its rules are compiled only once. */
public class ManyReports {
    public static void main(String[] files) throws Exception {
        DicomSRValidator validator = new DicomSRValidator();
        for (String file : files) {
            System.out.println("FILE " + file);
            System.out.println(validator.validate(file));
        }
    }
}
