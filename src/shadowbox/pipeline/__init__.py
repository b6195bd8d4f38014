"""Pipeline: how do recordings become a policy, a world and a page in one call? Stage by stage."""
