from __future__ import annotations

import subprocess
import sys


def test_allocation_and_planning_need_neither_ray_nor_torch():
    code = "import sys, core.allocation, analysis.questions.forecast\n"
    code += "print({'ray', 'torch', 'mlflow'} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
