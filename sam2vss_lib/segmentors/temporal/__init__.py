"""Base models that read several frames: CFFM, MRCFA, TV3S."""
