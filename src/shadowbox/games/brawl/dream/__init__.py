"""Brawl as a learned world dreams it: the rules that need not be learned."""
