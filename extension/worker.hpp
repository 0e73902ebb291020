#pragma once

// Housekeeping that needs nobody to ask for it.
namespace holdfast::worker {

// Defines its settings and, where the library is preloaded, requests the launcher.
void start();

} // namespace holdfast::worker
