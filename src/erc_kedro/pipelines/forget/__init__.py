from erc_kedro.pipelines.forget.pipeline import create_pipeline

__all__ = ["create_pipeline"]
