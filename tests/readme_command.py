"""Print the n-th command of the README (the n-th `sh` block), so that nobody runs another one."""

import re
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def command(number: int) -> str:
    """The text of the n-th fenced `sh` block of the README, counted from 1."""
    return re.findall(r"```sh\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[number - 1].strip()


if __name__ == "__main__":
    print(command(int(sys.argv[1])))
