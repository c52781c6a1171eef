"""The line between the node and a worker: looks go both ways, and its end is the end."""

import os
import threading

from dicomnode.node.line import ALIVE, LOOK, OwnEnd, WorkerEnd
from tests.running import until


def test_the_node_makes_a_worker_look_and_its_end_makes_it_stop() -> None:
    line, stop, look = OwnEnd(), threading.Event(), threading.Event()
    worker = WorkerEnd(line.theirs.fileno())
    worker.listen(stop, look)

    line.say_look()
    assert look.wait(60)
    assert not stop.is_set()

    look.clear()
    line.end_input()
    assert stop.wait(60)
    assert look.wait(60)
    worker.close()
    line.close()


def test_what_the_worker_says_is_heard_until_it_is_gone() -> None:
    line, heard = OwnEnd(), bytearray()
    worker = WorkerEnd(line.theirs.fileno())
    line.handed_over()
    listener = threading.Thread(target=line.hear, args=(heard.extend,))
    listener.start()

    worker.say(LOOK)
    worker.say(ALIVE)
    until(lambda: bytes(heard) == LOOK + ALIVE)
    worker.close()

    listener.join(60)
    assert not listener.is_alive()
    line.close()


def test_a_side_that_does_not_listen_is_not_waited_for() -> None:
    line = OwnEnd()
    worker = WorkerEnd(line.theirs.fileno())
    for _ in range(1_000_000 // 64):
        line.say_look()
        worker.say(ALIVE)
    worker.close()
    line.close()
    line.say_look()


def test_a_worker_that_was_started_by_hand_has_nobody_to_tell() -> None:
    reading, writing = os.pipe()
    stop, look = threading.Event(), threading.Event()
    worker = WorkerEnd(reading)
    worker.say(LOOK)
    worker.listen(stop, look)
    os.close(writing)

    assert stop.wait(60)
    worker.close()
    os.close(reading)
