# Waits until `logq admin bootstrap` has created the data streams. An earlier line would create an ordinary index with
# the name of a stream. Lines wait in the kubelet's files meanwhile.
require 'net/http'

scheme = ENV.fetch('FLUENT_OPENSEARCH_SCHEME', 'https')
uri = URI("#{scheme}://#{ENV.fetch('FLUENT_OPENSEARCH_HOST')}:#{ENV.fetch('FLUENT_OPENSEARCH_PORT', '9200')}/logs-other")
options = { use_ssl: scheme == 'https', ca_file: ENV['FLUENT_OPENSEARCH_CA_PATH'], open_timeout: 5, read_timeout: 5 }
password = (file = ENV['FLUENT_OPENSEARCH_PASSWORD_FILE']) ? File.read(file).chomp : ENV['FLUENT_OPENSEARCH_PASSWORD']

reported = nil
loop do
  answer = begin
    Net::HTTP.start(uri.host, uri.port, **options) do |http|
      request = Net::HTTP::Head.new(uri)
      request.basic_auth(ENV['FLUENT_OPENSEARCH_USER'], password) if ENV['FLUENT_OPENSEARCH_USER']
      http.request(request).code
    end
  rescue StandardError => e
    e.class.name
  end
  # 403: the stream exists, but this account may only write.
  break if %w[200 403].include?(answer)

  warn "waiting for the data streams at #{uri.host}: #{answer}" if answer != reported
  reported = answer
  sleep 2
end
