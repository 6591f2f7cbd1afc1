"""Questions with known answers, made from the true states of worlds: what a scene is, and what would happen in it.

Knowledge is asked about an instant, physics about an instant and a plan. Every exact question has as many yeses as
noes, so neither the majority nor the words alone answer it; those about plans come in pairs from one snapshot, one plan
with a yes and one with a no, so the picture without the plan does not answer them either.
"""

from nextstate.evaluation.questions.cases import Asker, Cases, Questions, happens
from nextstate.evaluation.questions.making import ASKERS, askers_of, make_questions
from nextstate.evaluation.questions.probing import probe

__all__ = ["ASKERS", "Asker", "Cases", "Questions", "askers_of", "happens", "make_questions", "probe"]
