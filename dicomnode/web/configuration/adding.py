"""Make who was refused as unknown a peer that may send."""

from dicomnode.config.edit import set_values
from dicomnode.config.load import read
from dicomnode.config.peers import PeerSettings, name_for
from dicomnode.config.proposal import Changes, file_of, names_of, said, seen
from dicomnode.config.statements import Way
from dicomnode.config.template import new_file
from dicomnode.errors import NotFound, Trouble
from dicomnode.logbook import associations
from dicomnode.web.access import Caller
from dicomnode.web.configuration.changing import save
from dicomnode.web.site import Site

__all__ = ["add_caller"]


def add_caller(here: Site, caller: Caller, ae_title: str, address: str) -> str:
    """Write the file of a peer that may send, with what is known of its association.

    Return its name; where such a peer is there already, by a second click, that one's.

    Raises:
        NotFound: no such caller was refused as unknown.
        ConfigError: the file would be wrong, or cannot be written; nothing was changed.
    """
    with here.database.reading() as tx:
        last = associations.newest_of(tx, ae_title, address, Trouble.CALLING_AE)
    if last is None:
        raise NotFound(f"nobody at {address} was refused as the unknown AE {ae_title}")
    texts = read(here.config)
    names = names_of(texts, "peers")
    for name in names:
        table = said(texts[file_of("peers", name)])
        if table.get("ae_title") == ae_title and table.get("may_send") is True:
            return name
    name = name_for(ae_title, names)
    file = file_of("peers", name)
    since = f"its association of {last.ended_at:%Y-%m-%d %H:%M:%S} UTC"
    values: dict[Way, object] = {("ae_title",): ae_title, ("host",): address, ("may_send",): True}
    text = set_values(here.config / file, new_file(PeerSettings), PeerSettings, values)
    heading, _, rest = text.partition("\n\n")
    changes: Changes = {file: f"{heading}\n# Added from {since}, refused as unknown.\n\n{rest}"}
    save(here, caller, changes, seen(texts, changes), words=f"added from {since}")
    return name
