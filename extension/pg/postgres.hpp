#pragma once
// The one way to PostgreSQL's headers. They redefine names of the C library (printf, snprintf), so
// the C++ headers that use these come first, and their macros are exempt from our warnings.
#pragma GCC system_header

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <cerrno>
#include <sys/stat.h>
#include <unistd.h>

extern "C" {
#include <postgres.h>

#include <access/genam.h>
#include <access/heapam.h>
#include <access/htup_details.h>
#include <access/table.h>
#include <access/tableam.h>
#include <access/xact.h>
#include <catalog/index.h>
#include <catalog/namespace.h>
#include <catalog/pg_database.h>
#include <catalog/pg_type_d.h>
#include <commands/sequence.h>
#include <commands/trigger.h>
#include <executor/executor.h>
#include <executor/spi.h>
#include <fmgr.h>
#include <funcapi.h>
#include <mb/pg_wchar.h>
#include <miscadmin.h>
#include <pgstat.h>
#include <postmaster/bgworker.h>
#include <postmaster/interrupt.h>
#include <storage/bufmgr.h>
#include <storage/bufpage.h>
#include <storage/fd.h>
#include <storage/ipc.h>
#include <storage/latch.h>
#include <storage/lmgr.h>
#include <storage/lock.h>
#include <storage/lwlock.h>
#include <storage/shmem.h>
#include <tcop/tcopprot.h>
#include <utils/array.h>
#include <utils/builtins.h>
#include <utils/date.h>
#include <utils/datetime.h>
#include <utils/fmgroids.h>
#include <utils/fmgrprotos.h>
#include <utils/guc.h>
#include <utils/inet.h>
#include <utils/inval.h>
#include <utils/jsonb.h>
#include <utils/lsyscache.h>
#include <utils/memutils.h>
#include <utils/numeric.h>
#include <utils/rel.h>
#include <utils/snapmgr.h>
#include <utils/timestamp.h>
#include <utils/uuid.h>
#include <utils/varlena.h>
#if PG_VERSION_NUM >= 150000
#include <utils/wait_event.h>
#endif
}
