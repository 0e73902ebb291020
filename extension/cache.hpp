#pragma once

// Answers kept for requests that are asked again.
namespace holdfast::cache {

// Defines the settings.
void start();

} // namespace holdfast::cache
