"""A Dockerfile as its instructions, and what its builder is sent: enough to judge an image where there is no Docker engine."""

import fnmatch
import re
import shlex


class Dockerfile:
    def __init__(self, path):
        self.path = path
        lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
        joined = re.sub(r"\\\n", " ", "\n".join(lines))
        # (word, arguments) of each, continued lines joined, comments dropped.
        self.instructions = [tuple(line.split(maxsplit=1)) for line in joined.splitlines()]

    def all(self, word):
        """The arguments of each instruction `word`."""
        return [arguments for each, arguments in self.instructions if each == word]

    def runtime(self):
        """Instructions of the last stage."""
        return self.instructions[max(index for index, (word, _) in enumerate(self.instructions) if word == "FROM"):]

    def stages(self):
        return [arguments.split(" AS ")[1] for arguments in self.all("FROM")]

    def copies(self):
        """(stage it is copied from or None, sources, target) of each COPY."""
        for arguments in self.all("COPY"):
            parts = shlex.split(arguments)
            stage = next((part.removeprefix("--from=") for part in parts if part.startswith("--from=")), None)
            paths = [part for part in parts if not part.startswith("--")]
            yield stage, paths[:-1], paths[-1]

    def of_the_repository(self):
        return [path for stage, paths, _ in self.copies() if stage is None for path in paths]

    def is_sent(self, path):
        """Whether the .dockerignore beside it lets a path of the repository through; its last matching line decides."""
        sent = True
        for line in (self.path.parent / f"{self.path.name}.dockerignore").read_text().splitlines():
            pattern = line.removeprefix("!")
            if line and not line.startswith("#") and (fnmatch.fnmatch(path, pattern) or path.startswith(pattern + "/")):
                sent = line.startswith("!")
        return sent
