// holdfast-gateway: governs AI calls through a PostgreSQL database.
#include "gateway/config.hpp"
#include "gateway/gateway.hpp"
#include "gateway/process_signals.hpp"

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

using namespace holdfast::gateway;

int main(int argc, char** argv) {
  try {
    const ProcessSignals signals;
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    const auto read = [&] { return read_config(arguments, process_environment); };
    const auto settings = read();
    if (const auto* exit = std::get_if<ConfigExit>(&settings)) {
      std::fputs(exit->text.c_str(), exit->status == 0 ? stdout : stderr);
      return exit->status;
    }
    return run_gateway(std::get<Config>(settings), read, signals);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "holdfast-gateway: %s\n", error.what());
    return 1;
  }
}
