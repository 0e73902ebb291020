SELECT bench.check_ours();
