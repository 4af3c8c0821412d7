"""An Inspect task: six requests, each of which some member knows how to answer."""

from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

ROWS = {
    "book a table for four at an italian restaurant tonight": "BookRestaurant",
    "play some jazz by miles davis on spotify": "PlayMusic",
    "what will the weather be in oslo tomorrow": "GetWeather",
    "give the novel five out of six stars": "RateBook",
    "list the ten largest files under /var/log": "find /var/log",
    "count the lines of every python file in this folder": "wc -l",
}


@task
def requests() -> Task:
    """Six requests for two members, the dispatcher and the operator, among all that can sit."""
    rows = [Sample(input=said, target=wanted) for said, wanted in ROWS.items()]
    return Task(dataset=rows, solver=generate(), scorer=includes())
