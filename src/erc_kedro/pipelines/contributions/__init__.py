from erc_kedro.pipelines.contributions.pipeline import create_pipeline

__all__ = ["create_pipeline"]
