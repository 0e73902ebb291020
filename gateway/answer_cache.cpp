#include "gateway/answer_cache.hpp"

namespace holdfast::gateway {
namespace {

// What a list's node, the map's, and the strings' own storage take besides the text.
constexpr std::size_t kFrameBytes = 256;

} // namespace

AnswerCache::AnswerCache(std::size_t most_answers, std::size_t most_bytes)
    : most_answers_(most_answers), most_bytes_(most_bytes) {}

std::size_t AnswerCache::bytes_of(const Kept& kept) {
  return kept.key.size() * 2 + kept.answer->entry_id.size() + kept.answer->body.size() +
         kFrameBytes;
}

void AnswerCache::drop(std::list<Kept>::iterator kept) {
  bytes_ -= bytes_of(*kept);
  by_key_.erase(kept->key);
  recent_.erase(kept);
}

std::shared_ptr<const AnswerCache::Answer> AnswerCache::find(const std::string& key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  recent_.splice(recent_.begin(), recent_, found->second);
  return found->second->answer;
}

void AnswerCache::keep(const std::string& key, Answer answer) {
  Kept kept{key, std::make_shared<const Answer>(std::move(answer))};
  const std::size_t bytes = bytes_of(kept);
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = by_key_.find(key);
  if (found != by_key_.end()) drop(found->second);
  if (bytes > most_bytes_ || most_answers_ == 0) return;
  while (!recent_.empty() && (recent_.size() >= most_answers_ || bytes_ + bytes > most_bytes_))
    drop(std::prev(recent_.end()));
  recent_.push_front(std::move(kept));
  by_key_.emplace(key, recent_.begin());
  bytes_ += bytes;
}

void AnswerCache::forget(const std::string& key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = by_key_.find(key);
  if (found != by_key_.end()) drop(found->second);
}

std::size_t AnswerCache::size() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return recent_.size();
}

std::size_t AnswerCache::bytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return bytes_;
}

} // namespace holdfast::gateway
