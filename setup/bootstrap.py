"""Sets up a checkout: the Python environment, npm's packages and the generated database client.

Standard library only, and readable by old Pythons as far as the sentence that asks for a newer one. Each step leaves
a stamp, made of what it was made from, when it has succeeded: a second run does nothing, a step that was interrupted
or whose input has changed is done again.
"""

import os
import subprocess
import sys

NEWEST, OLDEST = 14, 11
"""Python 3 minor versions that are looked for by name, and the oldest that the server runs on (pyproject.toml)."""


def newer_python():
    """The path of a Python that is new enough, by the names under which systems install it; None if there is none."""
    for minor in range(NEWEST, OLDEST - 1, -1):
        program = "python3.%d" % minor
        try:
            # Version managers put names on PATH that only print an error: see whether it runs.
            answer = subprocess.check_output(  # noqa: S603 - names of this file
                [program, "-c", "import sys; print(sys.executable)"], stderr=subprocess.STDOUT
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return answer.decode().strip()
    return None


def main():
    """Set up, under a Python that is new enough. Exit code 1 and a sentence where a step fails."""
    if sys.version_info >= (3, OLDEST):
        here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - old Pythons
        sys.path[:0] = [here, os.path.dirname(here)]  # noqa: PTH120
        from steps import set_up  # noqa: PLC0415

        return set_up()
    found = None if os.environ.get("NEURON_MEET_PYTHON") else newer_python()
    if found:
        os.execv(found, [found] + sys.argv)  # noqa: RUF005, S606
    sys.stderr.write(
        "Python 3.%d or newer is needed, and this is %d.%d (%s).\n"
        "Install one, or name one: make PYTHON=/path/to/python3.12\n"
        % ((OLDEST,) + sys.version_info[:2] + (sys.executable,))  # noqa: RUF005
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
