"""Scripts of brawl for pages that play without Python."""
