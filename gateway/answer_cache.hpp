// Kept answers in the gateway's own memory.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

namespace holdfast::gateway {

// The answers that were given last, bounded in number and in bytes. Whether one may still be given
// is the database's to say: `entry_id` is what it knows the answer by. Safe for use by many
// threads.
class AnswerCache {
public:
  struct Answer {
    std::string entry_id;
    std::string body;
  };

  AnswerCache(std::size_t most_answers, std::size_t most_bytes);

  std::shared_ptr<const Answer> find(const std::string& key);
  // Takes the place of what was kept under the key; what was used longest ago makes room.
  void keep(const std::string& key, Answer answer);
  void forget(const std::string& key);

  std::size_t size() const;
  std::size_t bytes() const;

private:
  struct Kept {
    std::string key;
    std::shared_ptr<const Answer> answer;
  };
  static std::size_t bytes_of(const Kept& kept);
  void drop(std::list<Kept>::iterator kept);

  std::size_t most_answers_;
  std::size_t most_bytes_;
  mutable std::mutex mutex_;
  std::list<Kept> recent_; // the last used first
  std::unordered_map<std::string, std::list<Kept>::iterator> by_key_;
  std::size_t bytes_ = 0;
};

} // namespace holdfast::gateway
