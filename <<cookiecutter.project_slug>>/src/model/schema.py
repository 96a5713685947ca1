"""The schema of the data: columns, their roles, types and rules.

Every step uses `SCHEMA`: validation enforces it, preprocessing converts types and splits by it, training and inference
use the features in its order. `modelkit/schema.py` documents the arguments.
"""

from modelkit.schema import Column, Facet, Schema

SCHEMA = Schema(
    columns=(
        Column("person", "integer", "attribute", "identifier of the person", minimum=1),
        Column("year", "integer", "feature", "year of the experiment", minimum=1, maximum=5),
        Column(
            "site",
            "string",
            "feature",
            "place of the experiment, as numbered by its authors",
            categories=("site-1", "site-2", "site-3", "site-4", "site-5", "site-6"),
        ),
        Column("coinsurance", "number", "feature", "share of a bill the person pays, percent", minimum=0, maximum=100),
        Column("deductible_plan", "boolean", "feature", "the plan has an individual deductible"),
        Column(
            "expenditure_limit",
            "number",
            "feature",
            "most the family can be asked to pay in a year, dollars",
            nullable=True,
            minimum=0,
            maximum=2_000,
        ),
        Column(
            "participation_incentive",
            "number",
            "feature",
            "payment for taking part, dollars per year",
            nullable=True,
            minimum=0,
            maximum=5_000,
        ),
        Column(
            "income",
            "number",
            "feature",
            "annual income, dollars of the time",
            nullable=True,
            minimum=0,
            maximum=100_000,
        ),
        Column("family_size", "integer", "feature", "persons in the family", minimum=1, maximum=20),
        Column(
            "education",
            "number",
            "feature",
            "schooling of the family's decision maker, years",
            nullable=True,
            minimum=0,
            maximum=30,
        ),
        Column("age", "number", "feature", "age in that year, years", nullable=True, minimum=0, maximum=110),
        Column("female", "boolean", "feature", "the person is female"),
        Column("examined", "boolean", "feature", "had the physical examination before the experiment"),
        Column(
            "mental_health",
            "number",
            "feature",
            "mental health index, higher is better",
            minimum=0,
            maximum=100,
        ),
        Column("chronic_diseases", "number", "feature", "index of chronic diseases", minimum=0, maximum=100),
        Column(
            "physical_limitation",
            "number",
            "feature",
            "1 with a physical limitation, 0 without, between when estimated",
            minimum=0,
            maximum=1,
        ),
        Column(
            "general_health",
            "number",
            "feature",
            "general health index, higher is better",
            nullable=True,
            max_null_fraction=0.4,
            minimum=0,
            maximum=100,
        ),
        Column(
            "health",
            "string",
            "feature",
            "health, self-rated",
            categories=("poor", "fair", "good", "excellent"),
        ),
        Column("visited", "boolean", "target", "saw a doctor at least once in that year"),
    ),
    group="person",
    key=("person", "year"),
    facet=Facet("female", disadvantaged=True, max_class_imbalance=0.5, max_label_difference=0.2),
    minimum_rows=100,
)
