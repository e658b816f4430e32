"""The frames and messages of all drafts."""
