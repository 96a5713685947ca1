"""The images that jobs and endpoints run in."""

from collections.abc import Iterator
from datetime import date, timedelta

import yaml

from mlops.deployment.checks.check import Subject
from mlops.deployment.checks.finding import Finding, Level
from mlops.project import image
from mlops.project.account import aws_errors, if_exists
from mlops.project.configuration import IMAGES
from mlops.project.lookups import newest_image
from mlops.project.project import Project
from mlops.project.stacks import CICD

_NOTICE = timedelta(days=90)


def supported(subject: Subject) -> Iterator[Finding]:
    """Yield the AWS images whose support ends within 90 days, or has ended."""
    return image_support(subject.target.project, subject.today)


def image_support(project: Project, today: date) -> Iterator[Finding]:
    """Yield the AWS images whose support ends within 90 days, or has ended.

    Args:
        project: The project; without AWS images if it has its own image or does not train.
        today: The date.
    """
    path = project.root / IMAGES / f"{project.answers.get('framework')}.yaml"
    if not path.is_file() or project.answer("training_image") != "aws":
        return
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    for one in [content, *(content[scope] for scope in ("training", "inference") if scope in content)]:
        end = one.get("end_of_support")
        if end and today >= end - _NOTICE:
            yield Finding(
                Level.WARNING,
                what=f"AWS {'ended' if today > end else 'ends'} its support of the image "
                f"{content['framework']} {one['version']} on {end}.",
                cost="After that it gets no security patches.",
                remedy=f"Set a later version in {path.relative_to(project.root)}.",
            )


def built(subject: Subject) -> Iterator[Finding]:
    """Yield a finding if the project's own image has not been built, or is no longer in ECR.

    Raises:
        MlopsError: The image cannot be looked up.
    """
    target = subject.target
    builds = target.account_name == target.holding(CICD).account_name
    if not builds or not image.has_own(target) or not target.project.readers.reads(target.environment, image.KEY):
        return
    newest = image.takes_newest(target)
    found = newest_image(target.account, target.names) if newest else image.digest(target)
    if not image.is_digest(found or ""):
        pipeline = target.names.image_pipeline
        exists = subject.stack("image", target.shared.environment) is not None
        yield Finding(
            Level.WARNING if exists else Level.PENDING,
            what="No image has been built yet.",
            cost="`upsert` refuses to submit pipelines, whose jobs run in it.",
            remedy=f"aws codepipeline start-pipeline-execution --name {pipeline} --region {target.account.region}"
            if exists
            else f"The stack image creates the pipeline {pipeline}, which builds it.",
        )
    elif not _is_in_ecr(subject, str(found)):
        key = f"`{image.KEY}` in {target.settings.file(image.KEY)}"
        yield Finding(
            Level.WARNING,
            what=f"The image {found} is not in the ECR repository {target.project.slug}.",
            cost="Jobs and endpoints that use it cannot start.",
            remedy=f"Start the pipeline {target.names.image_pipeline}, which builds one; see docs/image.md."
            if newest
            else f"Correct {key}, or set it to `{image.NEWEST}`.",
        )


def _is_in_ecr(subject: Subject, digest: str) -> bool:
    target = subject.target
    with aws_errors(f"look up the image {digest}"):
        images = if_exists(
            target.registry.account.ecr.describe_images,
            repositoryName=target.project.slug,
            imageIds=[{"imageDigest": digest}],
        )
    return images is not None
