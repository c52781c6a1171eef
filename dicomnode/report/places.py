"""Which of the images that were analysed a finding is on, as a viewer numbers them."""

from collections.abc import Sequence

from dicomnode.answers import Finding, FrameRef, Prediction
from dicomnode.report.catalogue import Words
from dicomnode.report.reading import value
from dicomnode.report.request import Source

__all__ = ["caption", "frame_named", "pictured", "place"]


def place(finding: Finding, prediction: Prediction, source: Source, words: Words) -> str:
    """The image that speaks most for a finding, in a sentence.

    Empty where there is but one, where nothing is pointed at, and where no one image speaks.
    """
    alone = len(prediction.frames) == 1
    if alone or not finding.marked or (prediction.together and finding.heat is None):
        return ""
    return _said("report", finding.frame, prediction, source, words)


def frame_named(frame: FrameRef, prediction: Prediction, source: Source, words: Words) -> str:
    """What a group of numbers is of: all images together, the whole of the one, or one of them."""
    if len(prediction.frames) == 1:
        return words.say("place.whole")
    if prediction.together:
        return words.say("place.together", count=len(prediction.frames))
    return _said("place", frame, prediction, source, words)


def pictured(subject: Finding | None, prediction: Prediction) -> FrameRef:
    """The frame that a finding is shown on, or that stands for all of them.

    Of a volume that one lies in the middle.
    """
    nowhere = prediction.together and (subject is None or subject.heat is None)
    if subject and not nowhere:
        return subject.frame
    frames = prediction.frames
    return frames[(len(frames) - 1) // 2] if nowhere else frames[0]


def caption(subject: Finding | None, prediction: Prediction, source: Source, words: Words) -> str:
    """Which of several images a picture shows; empty where that is clear, or of no matter."""
    if subject and (said := place(subject, prediction, source, words)):
        return said
    if not prediction.together:
        return ""
    image = _said("place", pictured(subject, prediction), prediction, source, words)
    return words.say("picture.shown", image=image, count=len(prediction.frames))


def _said(key: str, frame: FrameRef, prediction: Prediction, source: Source, words: Words) -> str:
    """By the number that viewers show, where all images of a series have one; else by our order.

    Viewers sort slices from head to feet or back, so the place in an order names no slice.
    """
    at, frames = prediction.frames.index(frame), prediction.frames
    if numbers := _numbers(frames, source):
        return words.say(f"{key}.number", number=numbers[at], count=len(frames))
    return words.say(f"{key}.image", number=at + 1, count=len(frames))


def _numbers(frames: Sequence[FrameRef], source: Source) -> list[str]:
    """Of the images in their series, or of the frames in their image; none where they tell nothing.

    Frames that are in order and complete are called by their place.
    """
    if len({frame.image.series_uid for frame in frames}) > 1:
        return []
    if len({frame.image for frame in frames}) == 1:
        numbers = [str(frame.frame) for frame in frames]
        return [] if numbers == [str(at + 1) for at in range(len(frames))] else numbers
    numbers = [value(source.header(frame.image), "InstanceNumber") for frame in frames]
    return numbers if all(numbers) and len(set(numbers)) == len(frames) else []
