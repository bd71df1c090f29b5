//! What every node of the suite shares: life cycle, parameters, QoS, counted queues, diagnostics, logging.
