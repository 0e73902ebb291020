SELECT count(*) FROM bench.checked WHERE classic.check_limit(id, 0.00045, 1000000000);
