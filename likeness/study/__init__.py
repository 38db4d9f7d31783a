"""A user study in the manner of TalkingGaussian's (Li et al. 2024): blinded videos of several methods are rated on three
scales and compared two by two.

`videos` is what is shown, `scales` what is asked, `design` who sees what in which order, `answers` the study's memory;
`blinding` and `server` stand between it and the browser, whose page is page.html, page.css and page.js. `report` and
`export` tell what was found, by the formulas in `statistics`.
"""

from likeness.study.export import export
from likeness.study.report import Report, report
from likeness.study.server import StudyServer

__all__ = ["Report", "StudyServer", "export", "report"]
