"""Tasks in the background: one queue, a lane a device, jobs with progress and a real cancel."""

from memviz.jobs.job import Job, Status
from memviz.jobs.worker import Worker

__all__ = ["Job", "Status", "Worker"]
