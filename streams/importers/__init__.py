"""Files of other systems become events and catalogue items.

    file ──► rows ──► (Gorse's, Metarank's own shape) ──► mapping ──► the workers' edge ──► what is not on the topic yet
                                                             └────────────┴──► rejects: line, field, why

A row's event gets an id that is a function of what it says, and ids that the log has already are passed over. So an
import that was interrupted goes on where it stopped, from any machine, and importing twice applies once.
"""
