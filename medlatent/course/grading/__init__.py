"""Grading in nbgrader that a class of submissions cannot stop: ``python -m medlatent grade`` and ``export``.

- ``submissions`` finds the notebook that was handed in and mends its marks;
- ``grade`` takes each through nbgrader, which cleans it, counts the points and keeps the gradebook;
- ``isolated`` executes it in between: ``runner.py`` in a process, the kernel in a sandbox (``sandbox``);
- ``platforms`` reads the archives of Moodle and Canvas and writes tables for them.

It needs nbgrader, in the group ``instructors``; nothing else imports this package.
"""
