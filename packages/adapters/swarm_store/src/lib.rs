//! Content-addressed artifact store on disk: verify, unpack with guards, one atomic pointer, last-good.
