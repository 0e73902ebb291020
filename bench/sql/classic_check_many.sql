SELECT bench.check_classic();
