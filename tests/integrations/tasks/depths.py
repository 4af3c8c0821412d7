"""An Inspect task of three rows, in the words of the tests' tiny models."""

from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, system_message


@task
def depths() -> Task:
    rows = [Sample(input="w7 w8 w9", target="w"), Sample(input="w10", target="w"), Sample(input="w20", target="fathom")]
    return Task(dataset=rows, solver=[system_message("w30 w31"), generate()], scorer=includes())
