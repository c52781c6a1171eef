"""The administrator's page and its programming interface, in a process of their own.

They read and write the worklist and the files of the configuration, as a command would; the node
notices both. Whatever breaks here leaves receiving, classifying and delivering alone.
"""
