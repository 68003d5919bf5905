"""XLM-RoBERTa (Conneau et al. 2020): RoBERTa over many languages."""

from dataclasses import replace

from mechviz.rankers.families import roberta

FAMILY = replace(
    roberta.FAMILY,
    model_type="xlm-roberta",
    base="XLMRobertaModel",
    heads={"XLMRobertaForSequenceClassification": roberta.FAMILY.heads["RobertaForSequenceClassification"]},
    masked={"XLMRobertaForMaskedLM": roberta.FAMILY.masked["RobertaForMaskedLM"]},
)
