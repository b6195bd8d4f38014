"""A small blocky place that answers as MCCTP does, so that the game is played without Minecraft.

course.py   the place: walls, steps, tasks and physics, 20 ticks a second
server.py   the mock server: messages in and out, as the mods send and obey them
walker.py   a scripted player, who reads the game's state and knows the course
"""
