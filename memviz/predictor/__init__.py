"""Predictors of memorization: what they are fitted on, where they are kept, how good they are, what they say of a run.

No torch outside functions, no Streamlit. docs/predictor.md defines settings, measures and baselines.

    task = fit_task(read_sweep(folder), "suite-1.8m", "causal")   # a task like any other
    answer(task, context)                                         # writes task.folder(...), goes on where it stopped
    epochs_of(task.folder(settings))                              # loss and validation curves, also while it runs
    known = known_predictors(settings)                            # those of the cache, newest first, then the shipped
    tables = known[0].tables()                                    # metrics, curves, calibration, ... as DataFrames
    of_model = predictors_for(card, settings)                     # setting -> the one to use for a model
    predict(of_model["causal"], trace, card)                      # (n, m) P(memorized) from a stored trace
    predict_context(of_model["context"], card, ids, backend)      # (n, m) before anything is generated
"""

from memviz.predictor.applying import objection, predict, predict_context
from memviz.predictor.baselines import METHODS
from memviz.predictor.data import PredictorData
from memviz.predictor.evaluation import METRICS
from memviz.predictor.known import Known, epochs_of, known_predictors, predictors_for, read_known
from memviz.predictor.presets import SETTINGS
from memviz.predictor.tables import TABLES
from memviz.predictor.task import FitTask, fit_task

__all__ = [
    "METHODS",
    "METRICS",
    "SETTINGS",
    "TABLES",
    "FitTask",
    "Known",
    "PredictorData",
    "epochs_of",
    "fit_task",
    "known_predictors",
    "objection",
    "predict",
    "predict_context",
    "predictors_for",
    "read_known",
]
