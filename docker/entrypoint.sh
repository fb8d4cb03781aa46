#!/bin/sh
# numba reads compiled kernels only where it may also write, and the root file system is read-only.
[ -d "$NUMBA_CACHE_DIR" ] || cp -r /opt/deltamesh/kernels "$NUMBA_CACHE_DIR"
exec deltamesh "$@"
