"""What images and results look like on a page: pictures, what lies over them, reports as trees."""
