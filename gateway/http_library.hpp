// cpp-httplib as Debian builds it: this switch changes how its types are laid out, and must be what
// the library was compiled with. Include this header, never <httplib.h>.
#pragma once

#ifndef CPPHTTPLIB_OPENSSL_SUPPORT
#define CPPHTTPLIB_OPENSSL_SUPPORT
#endif

#include <httplib.h>
