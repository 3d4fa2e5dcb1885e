"""The second stage: let each needed backbone look once at each video."""

from turbo_eval.features.plan import FeatureItem, FeaturePlan, plan_features
from turbo_eval.features.run import extract_features

__all__ = ["FeatureItem", "FeaturePlan", "extract_features", "plan_features"]
