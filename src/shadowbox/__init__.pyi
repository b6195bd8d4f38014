# Types of the names that __init__.py imports when they are first used.
from shadowbox.api import evaluate as evaluate
from shadowbox.api import load_game as load_game
from shadowbox.api import load_policy as load_policy
from shadowbox.api import play as play
from shadowbox.api import record as record
from shadowbox.api import save_page as save_page
from shadowbox.api import train as train
from shadowbox.data.store import Store as Store

__version__: str
__all__: list[str]
