//! Nothing but tests: they know the programs from outside only. `make e2e` brings up a cluster and runs them there.
