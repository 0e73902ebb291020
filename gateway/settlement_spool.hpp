// Settlements that outlive the gateway: what the database had not taken when it was stopped.
#pragma once

#include "gateway/settlement_queue.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace holdfast::gateway {

// One line of a file, and back; nothing when the line is none of ours. What the audit log would
// have got of the request is redacted first.
std::string spool_line(const Resolution& resolution);
std::optional<Resolution> read_spool_line(const std::string& line);

// A folder of files, each of one gateway's stop. Any gateway on the folder brings them into the
// database, then deletes them; a file that one of them has taken is locked, and what is settled
// twice is charged once.
class SettlementSpool {
public:
  // Without a folder nothing is spooled. Throws std::runtime_error when it cannot be written to.
  // What an attempt refuses for good is not tried again.
  SettlementSpool(std::string folder, SettlementQueue::Attempt attempt);
  ~SettlementSpool();
  SettlementSpool(const SettlementSpool&) = delete;
  SettlementSpool& operator=(const SettlementSpool&) = delete;

  // Ends the bringing in.
  void stop();

  // True once they are on disk; what went wrong is logged.
  bool write(const std::vector<Resolution>& resolutions);

  // Files that wait, of whichever gateway.
  std::size_t files() const;

private:
  void work();
  // False when the database did not take all of it.
  bool bring_in(const std::string& path);
  bool wait_for_next_round();

  std::string folder_;
  SettlementQueue::Attempt attempt_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread worker_;
};

} // namespace holdfast::gateway
