"""Makes every shipped weight again. Run in an environment of its own, never in the product's."""
