"""What the test files share is imported from here: `from ..runs import trade`."""
