"""The pages of the site: lists, run view, inbox, editor. Reaches the engine through `engine.runs.api` only."""
