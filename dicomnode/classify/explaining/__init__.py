"""Where a finding lies: what speaks for it in the network, as heat and regions on the frame."""
