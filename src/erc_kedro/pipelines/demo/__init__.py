from erc_kedro.pipelines.demo.pipeline import create_pipeline

__all__ = ["create_pipeline"]
