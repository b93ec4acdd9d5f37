"""The process that decodes photos and runs the network: bytes in by standard input, numbers out by standard output.

Decoders read files of strangers, and change settings of their whole process. So they run here, away from the server:
this process has neither the store nor a token nor credentials, and a file that ends it ends one request.

A message is its length, 8 bytes, and its bytes; an answer has a byte before, which says what it is. Nothing is pickled:
an answer of a process that a file has taken over is numbers or a text, and never code.
"""

import os
import resource
import signal
import struct
import sys
from typing import BinaryIO

LENGTH = struct.Struct(">Q")
READY, FEATURES, REFUSED = b"r", b"f", b"u"
# What a worker needs besides the pixels: Python, its libraries, the network and the file.
_BYTES_BESIDES = 1 << 30
# At most 8 bytes a pixel, measured by the limits of decoding (``photos/decoding.py``).
_BYTES_PER_PIXEL = 10


def read_message(stream: BinaryIO) -> bytes | None:
    """Returns the next message, None at the end."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    message = stream.read(length)
    return message if len(message) == length else None


def main() -> None:
    """Answers messages until the server closes standard input: the network first, then photos."""
    max_pixels, seconds = map(int, sys.argv[1:])
    # The server ends its workers when it has ended; a terminal or systemd would end them before their requests.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # No copy of a photo is written to the disk where a decoder crashes, and no photo takes all memory.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most, hard = _BYTES_BESIDES + _BYTES_PER_PIXEL * max_pixels, resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    answers = os.fdopen(os.dup(1), "wb")
    _serve(sys.stdin.buffer, answers, max_pixels, seconds)


def _serve(messages: BinaryIO, answers: BinaryIO, max_pixels: int, seconds: int) -> None:
    from spark_steps.errors import UnusablePhotoError
    from spark_steps.queries.identify import extractor_of, features_of

    network = read_message(messages)
    if network is None:
        return
    extractor = extractor_of(network)
    _answer(answers, READY, b"")
    # What libraries print about a photo, such as the names of its tags, is not for the server's log.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    while (photo := read_message(messages)) is not None:
        # Ends the process where a decoder never returns and the server is gone.
        signal.alarm(seconds + 1)
        try:
            _answer(answers, FEATURES, features_of(photo, extractor, max_pixels).astype("<f4").tobytes())
        except UnusablePhotoError as error:
            _answer(answers, REFUSED, str(error).encode("utf-8", "backslashreplace"))
        signal.alarm(0)


def _answer(answers: BinaryIO, kind: bytes, content: bytes) -> None:
    answers.write(kind + LENGTH.pack(len(content)) + content)
    answers.flush()


if __name__ == "__main__":
    main()
