"""A file that lies in memory: a fuzz target opens thousands of them in a second."""

import io


class MemoryFile:
    """As much of a Path as the readers use."""

    suffix = ""
    name = "memory"

    def __init__(self, content: bytes) -> None:
        self.content = content

    def open(self, mode: str) -> io.BytesIO:
        assert mode == "rb"
        return io.BytesIO(self.content)

    def __str__(self) -> str:
        return self.name
